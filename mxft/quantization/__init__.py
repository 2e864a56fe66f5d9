"""int8 for a checkpoint: ranges of its maps on a sample of images, and the layers that have to stay in float32."""
