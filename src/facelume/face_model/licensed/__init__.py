"""Face models under licences of their own: found in the user's folder, read in their official layouts."""
