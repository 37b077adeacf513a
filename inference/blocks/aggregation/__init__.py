"""From many instances (patches, images, views) to one bag (image, patient): pooling and multiple-instance
learning."""
