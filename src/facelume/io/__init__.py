"""Reading photos, writing results: one file per format."""
