"""What a checkpoint is asked: images, activations, use of the labels."""
