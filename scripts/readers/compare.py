"""Reads the files of a run with other people's programs, and fails where one of them sees something else.

    compare.py RUN WORKBOOK

The reference is Python's own csv module with the types of datapackage.json. Every reader gets the file as it is,
without an option that a user would have to know.
"""

import csv
import datetime
import json
import math
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import duckdb
import frictionless
import hdrh.histogram
import hdrh.log
import openpyxl
import pandas

HERE = Path(__file__).parent
# The levels of a factor are texts, but each of them may be a number.
MAY_BE_NUMBERS = "factor_"


@dataclass
class Column:
    """What a reader sees of a column: the type, how many values there are, and the sum of numbers."""

    kind: str  # number, boolean, time or text
    values: int
    total: float = 0.0


def expected(path, fields):
    """The columns as datapackage.json describes them, and the number of rows."""
    kinds = {"integer": "number", "number": "number", "boolean": "boolean", "datetime": "time", "string": "text"}
    with open(path, newline="", encoding="ascii") as file:
        rows = list(csv.DictReader(file))
    columns = {}
    for field in fields:
        values = [row[field["name"]] for row in rows if row[field["name"]] != ""]
        kind = kinds[field["type"]]
        columns[field["name"]] = Column(kind, len(values), sum(map(float, values)) if kind == "number" else 0.0)
    return columns, len(rows)


def of_values(values):
    """The column that Python values make up."""
    values = [value for value in values if value is not None]
    kinds = {kind_of(value) for value in values}
    kind = kinds.pop() if len(kinds) == 1 else "mixed" if kinds else "text"
    return Column(kind, len(values), float(sum(values)) if kind == "number" else 0.0)


def kind_of(value):
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return "time" if isinstance(value, datetime.datetime) else "text"


def with_pandas(path):
    frame = pandas.read_csv(path)
    columns = {name: of_values(frame[name].dropna().tolist()) for name in frame}
    for name in filter(lambda name: name.endswith("_utc"), frame):
        pandas.to_datetime(frame[name], format="%Y-%m-%d %H:%M:%S.%f")
        columns[name].kind = "time"  # read_csv leaves a time a text until it is asked
    return columns, len(frame)


def with_duckdb(path):
    table = duckdb.read_csv(str(path))
    rows = table.fetchall()
    return {name: of_values([row[at] for row in rows]) for at, name in enumerate(table.columns)}, len(rows)


def with_r(path):
    text = subprocess.run(["Rscript", HERE / "columns.R", path], check=True, capture_output=True, text=True).stdout
    lines = [line.split("\t") for line in text.splitlines()]
    columns = {name: Column(kind, int(values), float(total)) for name, kind, values, total in lines[1:]}
    return columns, int(lines[0][0])


def convert(path, form, *options):
    """The file as LibreOffice writes it in another form."""
    folder = Path(tempfile.mkdtemp())
    command = ["soffice", f"-env:UserInstallation=file://{folder}/profile", "--headless", *options]
    command += ["--convert-to", form, "--outdir", folder, path]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return folder / f"{path.stem}.{form}"


def with_libreoffice(path):
    # Comma, double quotes, UTF-8, English; "detect special numbers" is on, as a date is one.
    options = "--infilter=Text - txt - csv (StarCalc):44,34,76,1,,1033,false,true"
    return sheet(openpyxl.load_workbook(convert(path, "xlsx", options), data_only=True).worksheets[0])


def sheet(sheet):
    header, *rows = sheet.iter_rows(values_only=True)
    return {name: of_values([row[at] for row in rows]) for at, name in enumerate(header)}, len(rows)


def differences(reader, path, seen, wanted):
    """Says where what a reader has seen is not what is there."""
    (seen, rows), (wanted, wanted_rows) = seen, wanted
    if rows != wanted_rows or list(seen) != list(wanted):
        yield f"{reader}: {path.name}: {rows} rows of {len(seen)} columns, not {wanted_rows} of {len(wanted)}"
        return
    for name, column in wanted.items():
        got = seen[name]
        if column.values == 0 and got.values == 0:
            continue  # an empty column has no type
        if name.startswith(MAY_BE_NUMBERS) and got.values == column.values:
            continue
        same = math.isclose(got.total, column.total, rel_tol=1e-9, abs_tol=1e-9)
        if (got.kind, got.values) != (column.kind, column.values) or not same:
            yield f"{reader}: {path.name}: {name}: {got}, not {column}"


def merged_by_kind(log):
    """All histograms of an interval log, one for each tag."""
    merged = {}
    reader = hdrh.log.HistogramLogReader(str(log), hdrh.histogram.HdrHistogram(1, 2**62, 3))
    while (histogram := reader.get_next_interval_histogram()) is not None:
        merged.setdefault(histogram.get_tag(), hdrh.histogram.HdrHistogram(1, 2**62, 3)).add(histogram)
    reader.close()
    return merged


def of_histograms(run):
    """Compares the percentiles of each row with those of its interval log, which another implementation decodes."""
    compared = 0
    with open(run / "cells.csv", newline="", encoding="ascii") as file:
        for row in csv.DictReader(file):
            if row["error"] or int(row["timed_out"] or 0) + int(row["shed"] or 0) > 0:
                continue
            logs = list((run / "histograms").glob(f"{row['block']}-{row['attempt']}-{row['order_index']}-*.hlog"))
            if len(logs) != 1:
                yield f"hdrhistogram: {len(logs)} logs of row {row['order_index']} of block {row['block']}"
                continue
            merged = merged_by_kind(logs[0])
            for kind in ("service", "response"):
                for name, p in [("p50", 50), ("p90", 90), ("p99", 99), ("p99_9", 99.9)]:
                    value = row[f"{kind}_{name}_us"]
                    if value:
                        compared += 1
                        # The harness rounds a rank up, and this implementation to the nearest one.
                        count = merged[kind].get_total_count()
                        rank = math.ceil(count * p / 100 - 1e-9)
                        log = round(merged[kind].get_value_at_percentile(100 * rank / count) / 1000, 3)
                        if log != float(value):
                            yield f"hdrhistogram: {logs[0].name}: {kind} {name} is {log}, the row says {value}"
    print(f"hdrhistogram: {compared} percentiles compared")
    if compared == 0:
        yield "hdrhistogram: no row has a percentile"


def of_workbook(path, run):
    """Compares a sheet of the workbook with its file, as openpyxl reads it and as LibreOffice converts it."""
    package = json.loads((run / "datapackage.json").read_text(encoding="utf-8"))
    resources = {resource["name"]: resource["schema"]["fields"] for resource in package["resources"]}
    own = openpyxl.load_workbook(path)
    # LibreOffice writes true as a formula; its value is beside it.
    again = openpyxl.load_workbook(convert(path, "xlsx"), data_only=True)
    for reader, workbook in [("openpyxl", own), ("LibreOffice", again)]:
        for name in ("summary", "pairs"):
            wanted = expected(run / f"{name}.csv", resources[name])
            yield from differences(f"{reader} (workbook)", Path(name), sheet(workbook[name]), wanted)
        started = sheet(workbook["replicates"])[0]["started_at_utc"]
        if started.kind != "time":
            yield f"{reader} (workbook): started_at_utc is {started}"
    if not all(page.freeze_panes == "A2" and page.auto_filter.ref for page in own.worksheets):
        yield f"openpyxl: {path.name}: a sheet has no frozen header or no filter"


def main():
    run, workbook = Path(sys.argv[1]), Path(sys.argv[2])
    problems = []
    report = frictionless.validate(str(run / "datapackage.json"))
    if not report.valid:
        problems.append(f"frictionless: {report.flatten(['type', 'fieldName', 'note'])[:5]}")
    readers = {"pandas": with_pandas, "DuckDB": with_duckdb, "R": with_r, "LibreOffice": with_libreoffice}
    package = json.loads((run / "datapackage.json").read_text(encoding="utf-8"))
    for resource in package["resources"]:
        path = run / resource["path"]
        wanted = expected(path, resource["schema"]["fields"])
        for reader, read in readers.items():
            problems.extend(differences(reader, path, read(path), wanted))
        print(f"{path.name}: {wanted[1]} rows of {len(wanted[0])} columns, read by {', '.join(readers)}")
    if (run / "histograms").is_dir():
        problems.extend(of_histograms(run))
    problems.extend(of_workbook(workbook, run))
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    sys.exit(1 if problems else 0)


main()
