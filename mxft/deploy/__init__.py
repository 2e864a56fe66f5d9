"""From a checkpoint to what is deployed: ONNX files, slim face networks, bundles, a service."""
