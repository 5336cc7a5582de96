"""A chart's file, whole or not at all: a full disk or a kill leaves the older one."""
import os


def save_figure(figure, path, dpi):
    part = path + ".part"
    try:
        figure.savefig(part, dpi=dpi, format=os.path.splitext(path)[1][1:] or "png")
        os.replace(part, path)
    except BaseException:
        if os.path.exists(part):
            os.remove(part)
        raise
