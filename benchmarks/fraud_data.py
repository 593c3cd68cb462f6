"""Loads card payments into a database: ``python -m benchmarks.fraud_data --data DIR --database URL``.

Makes the table ``transactions`` anew from the Parquet files of ``DIR`` (``t``, ``customer_id``, ``terminal_id``,
``amount``, ``fraud``), with an index on each time column: ``id``, ``t`` and ``reported`` in Unix seconds, ``customer``,
``terminal``, ``amount``. ``reported`` is when the holder's report of a fraudulent payment arrives, a week after it, and
NULL for all others: what a bank learns of fraud, and when. Nothing else of the labels is loaded.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from tsdiff_monitor.errors import DataError, TsdiffError
from tsdiff_monitor.settings.durations import parse_duration

__all__ = ["TRANSACTIONS", "load", "main", "payments"]

TRANSACTIONS = sa.Table(
    "transactions",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("t", sa.BigInteger, nullable=False, index=True),
    sa.Column("customer", sa.Integer, nullable=False),
    sa.Column("terminal", sa.Integer, nullable=False),
    sa.Column("amount", sa.Double, nullable=False),
    sa.Column("reported", sa.BigInteger, index=True),
)

_PART = 50_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Load; returns the exit status, 2 for input that is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fraud_data", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder with the payments in Parquet")
    parser.add_argument("--database", required=True, metavar="URL", help="SQLAlchemy address; its table is replaced")
    parser.add_argument(
        "--report-delay", type=parse_duration, default="7d", metavar="D", help="payment to fraud report"
    )
    given = parser.parse_args(arguments)
    try:
        table = payments(given.data, int(given.report_delay.total_seconds()))
        load(table, sa.make_url(given.database))
    except (TsdiffError, SQLAlchemyError) as error:
        print(f"benchmarks.fraud_data: {error}", file=sys.stderr)
        return 2
    print(f"{len(table):,} payments, {int(table['reported'].notna().sum()):,} reports")
    return 0


def payments(folder: Path, report_delay: int) -> pd.DataFrame:
    """The rows of ``transactions``; ``report_delay`` is in seconds. Raises :class:`DataError`."""
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise DataError(f"{folder}: there is no *.parquet in it; name the folder fraud_handbook")
    columns = ["transaction_id", "t", "customer_id", "terminal_id", "amount", "fraud"]
    try:
        data = pd.concat([pd.read_parquet(file, columns=columns) for file in files], ignore_index=True)
    except (ValueError, OSError, KeyError) as error:
        raise DataError(f"{folder}: no table of payments ({error}); its columns must be {', '.join(columns)}") from None
    reported = (data["t"] + report_delay).astype("Int64").where(data["fraud"] == 1)
    return pd.DataFrame(
        {
            "id": data["transaction_id"],
            "t": data["t"],
            "customer": data["customer_id"],
            "terminal": data["terminal_id"],
            "amount": data["amount"].astype("float64").round(2),
            "reported": reported,
        }
    )


def load(table: pd.DataFrame, url: sa.URL) -> None:
    """Replace the table ``transactions`` by ``table``, then make its indices and let the database count."""
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url)
    try:
        with engine.begin() as connection:
            TRANSACTIONS.drop(connection, checkfirst=True)
            connection.execute(sa.schema.CreateTable(TRANSACTIONS))
            _fill(connection, table)
            for index in sorted(TRANSACTIONS.indexes, key=lambda one: str(one.name)):
                index.create(connection)
            connection.exec_driver_sql("ANALYZE transactions")
    finally:
        engine.dispose()


def _fill(connection: sa.Connection, table: pd.DataFrame) -> None:
    for first in range(0, len(table), _PART):
        part = table.iloc[first : first + _PART]
        driver: Any = connection.connection.driver_connection
        if connection.dialect.name == "postgresql":
            with driver.cursor() as cursor, cursor.copy("COPY transactions FROM STDIN (FORMAT csv)") as copy:
                copy.write(part.to_csv(index=False, header=False))
        else:
            rows = part.astype(object).where(part.notna(), None)
            names = [str(column) for column in part]
            connection.execute(TRANSACTIONS.insert(), [dict(zip(names, row, strict=True)) for row in rows.to_numpy()])


if __name__ == "__main__":
    sys.exit(main())
