"""Pictures drawn for tests."""

from PIL import Image, ImageDraw


def save_disc(path, colour, size=40):
    """Saves a disc on nothing at `path`, whose folder is made."""
    image = Image.new("RGBA", (size, size))
    ImageDraw.Draw(image).ellipse([4, 8, size - 8, size - 4], fill=colour)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
