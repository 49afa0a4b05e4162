"""The overlay: a video with its progress curve and the reasoning under the picture."""
