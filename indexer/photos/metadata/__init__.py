"""Read what a photo file says beside its picture: when, where and with what it was taken, and of what kind it is.

    file -containers, boxes-> EXIF and XMP blocks -exif_directories, xmp_values-> values -reading-> PhotoMetadata

Pixels are never decoded, and wrong metadata is left out; it never makes a photo fail.
"""
