"""Photo sets, crop cache, augmentation, and synthetic faces with exact labels."""
