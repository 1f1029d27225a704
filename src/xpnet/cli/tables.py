"""Tables in .csv files, read by pandas: columns of text, and missing and infinite values, are refused by name."""

import warnings

import numpy as np
import pandas as pd

from .console import listed


def read_table(path: str) -> pd.DataFrame:
    """A .csv file with a header line of distinct names, separated by commas, semicolons or tabs."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            first = file.readline()
        if not first.strip():
            raise ValueError(f"{path!r} is empty: a header line and rows of data are needed")
        form = {"sep": max(",;\t", key=first.count), "encoding": "utf-8-sig", "index_col": False}
        header = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False, **form).iloc[0]
        twice = sorted(set(header[header.duplicated()]))  # pandas would number them
        if twice:
            raise ValueError(f"the header of {path!r} names {listed(twice)} more than once: give each column its name")
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # every row is too long
            table = pd.read_csv(path, low_memory=False, **form)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path!r} is not text in UTF-8 ({error}): save it as CSV in UTF-8") from error
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise ValueError(
            f"{path!r} can't be read as a table ({error}): each row needs as many fields as the header"
        ) from error
    if table.empty:
        raise ValueError(f"{path!r} has a header but no rows of data")
    return table


def numbers(table: pd.DataFrame, path: str, or_drop: str = ", or leave them out with --drop") -> pd.DataFrame:
    """The table as float64; an error names columns of text and those with missing or infinite values.

    ``or_drop`` ends the advice of these errors.
    """
    if table.shape[1] == 0:
        raise ValueError(f"{path!r} has no columns left to learn from: at least one feature is needed")
    text = [name for name, column in table.select_dtypes(exclude=["number", "bool"]).items() if not _is_bool(column)]
    if text:
        raise ValueError(
            f"the columns {listed(text)} of {path!r} hold text, and features must be numbers: encode them as "
            f"numbers{or_drop}"
        )
    missing = table.isna().sum()
    if missing.any():
        counts = listed(f"{name} ({count})" for name, count in missing[missing > 0].items())
        raise ValueError(
            f"values are missing in the columns {counts} of {path!r}: fill them, or remove these rows{or_drop}"
        )
    table = table.astype(np.float64)
    infinite = table.columns[np.isinf(table).any()]
    if len(infinite):
        raise ValueError(f"the columns {listed(infinite)} of {path!r} hold infinite values: replace them{or_drop}")
    return table


def _is_bool(column: pd.Series) -> bool:
    """Whether true and false are all that the column holds; pandas reads it as objects if some are missing."""
    return pd.api.types.is_bool_dtype(column.dropna().infer_objects())
