"""The serving bundle: one folder or .tar with the network, its class names, how to feed it, and a proof that it works.

It is a checkpoint too: every verb takes the folder as it takes a run's.
"""
FORMAT = 1
NAME = r"\w[\w.-]*"  # of a model: it becomes a folder's, and is printed and shown
SIGNATURE, SYNSET, ONNX, README, SUMS = "signature.json", "synset.txt", "model.onnx", "README.txt", "SHA256SUMS"
SIGNED = "SHA256SUMS.sig"  # of a bundle that is signed
SELFTEST_IMAGE, SELFTEST = "selftest.jpg", "selftest.json"
