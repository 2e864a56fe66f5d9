"""The package's templates, filled in, and values as a page shows them."""
import json

from mxft.files.whole import whole_file


def write_template(path, template, **values):
    """Write one of the package's templates, filled in, whole or not at all.

    Parameters
    ----------
    path : str
    template : str
        File name below ``mxft/report/templates``.
    **values
        What it names; text of any kind is escaped.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(loader=PackageLoader("mxft.report"), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)
    page = environment.get_template(template).render(**values)
    with whole_file(path, "w") as f:
        f.write(page)


def side_by_side(pictures):
    """Return SVG elements as markup that stands in columns where the page is wide enough."""
    from markupsafe import Markup

    return Markup(f'<div class="two">{"".join(pictures)}</div>')


def pretty(value):
    """Return a value as indented JSON."""
    return json.dumps(value, indent=1, ensure_ascii=False, default=str)


def script_json(value):
    """Return JSON that can stand in a script of a page, whatever names are in it."""
    from markupsafe import Markup

    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))


def flat(settings, prefix=""):
    """Return nested settings as ``{"fit.epochs": 8, …}``."""
    found = {}
    for key, value in settings.items():
        found.update(flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value})
    return found


def asked(settings, defaults):
    """Return what ``parts.settings`` of the templates shows: what differs from the defaults, and everything.

    Parameters
    ----------
    settings : dict
        As read from a log: lists where `defaults` may have tuples.
    defaults : dict
        A setting that is not among them counts as asked for.

    Examples
    --------
    >>> asked({"lr": 0.1, "fit": {"epochs": 8}}, {"lr": 0.2, "fit": {"epochs": 8}})["asked"]
    [('lr', '0.1')]
    """
    usual = flat(json.loads(json.dumps(defaults, default=str)))
    rows = [(name.replace("_", "-"), _shown(value)) for name, value in flat(settings).items()
            if usual.get(name) != value]
    return {"asked": rows, "settings": pretty(settings)}


def _shown(value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
