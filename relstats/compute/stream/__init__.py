"""What networks make, image by image, into a study; resumed where it was interrupted."""
