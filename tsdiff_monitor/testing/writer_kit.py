"""The promises of every writer, as tests to derive from."""

from __future__ import annotations

from typing import Any, ClassVar

from tsdiff_monitor.errors import WriteError
from tsdiff_monitor.plugins import Writer
from tsdiff_monitor.testing.checks import check_config, check_reason, check_silent, raised
from tsdiff_monitor.testing.examples import example_batch

__all__ = ["WriterConformance"]


class WriterConformance:
    """Derive, name the class ``Test...``, and give at least :meth:`make` and :meth:`stored`.

    pytest makes an instance for each test: a store made in ``setup_method`` is fresh.
    """

    secrets: ClassVar[tuple[str, ...]] = ()
    """Secrets in the configuration that :meth:`make` and :meth:`broken` use."""

    def make(self) -> Writer:
        """A new writer to the test's store."""
        raise NotImplementedError

    def stored(self) -> Any:
        """The present content of the store, to be compared with ``==``; a row written twice must show once."""
        raise NotImplementedError

    def broken(self) -> Writer | None:
        """A new writer whose store is down; None where that cannot be."""
        return None

    def test_is_a_writer(self) -> None:
        """The class satisfies the contract, and its configuration is strict and documented."""
        writer = self.make()
        assert isinstance(writer, Writer), "there are no methods `write` and `close`"
        check_config(writer)
        writer.close()

    def test_writing_stores(self) -> None:
        """Written rows are in the store at the latest when the writer is closed."""
        before = self.stored()
        writer = self.make()
        writer.write(example_batch())
        writer.close()
        assert self.stored() != before, "nothing was stored"

    def test_writing_again_changes_nothing(self) -> None:
        """After a crash the host writes the last rows again: the store is as if they had come once."""
        first = self.make()
        first.write(example_batch())
        first.close()
        once = self.stored()
        second = self.make()
        second.write(example_batch())
        second.write(example_batch())
        second.close()
        assert self.stored() == once, "writing the same rows again changed the store"

    def test_later_rows_are_added(self) -> None:
        """Rows of a later time join those that are there."""
        writer = self.make()
        writer.write(example_batch())
        writer.close()
        before = self.stored()
        writer = self.make()
        writer.write(example_batch(start="2024-05-01T00:10:00Z"))
        writer.close()
        after = self.stored()
        assert after != before, "the later rows were not stored"
        writer = self.make()
        writer.write(example_batch())
        writer.close()
        assert self.stored() == after, "writing old rows again changed the store"

    def test_groups_are_kept_apart(self) -> None:
        """Groups whose labels differ only in special characters do not overwrite each other."""
        groups = [(("path", value),) for value in ("a/b", "a_b", "a b", "A_B", "../a", "ä", "a,b=c")]
        seen = [self.stored()]
        for group in groups:
            writer = self.make()
            writer.write(example_batch(group=group))
            writer.close()
            assert self.stored() not in seen, f"{group} overwrote another group"
            seen.append(self.stored())
        writer = self.make()
        for group in groups:
            writer.write(example_batch(group=group))
        writer.close()
        assert self.stored() == seen[-1], "writing the same groups again changed the store"

    def test_any_batch_is_accepted(self) -> None:
        """No group, no expected values, no rows, gaps and unusual metric names are all written without an error."""
        writer = self.make()
        writer.write(example_batch(group=()))
        writer.write(example_batch(expected=False))
        writer.write(example_batch(rows=0))
        writer.write(example_batch(missing=0.5))
        writer.write(example_batch(names=("cpu|rate(%)", "ns::metric", "übertragen")))
        writer.close()

    def test_closing_twice_is_safe(self) -> None:
        """The host may close a writer again."""
        writer = self.make()
        writer.close()
        writer.close()

    def test_a_store_that_is_down_is_reported_as_such(self) -> None:
        """It raises ``WriteError`` with a reason, and neither the error nor the writer gives a secret away."""
        writer = self.broken()
        if writer is not None:
            error = raised(WriteError, lambda: writer.write(example_batch()))
            check_reason(error.reason)
            check_silent(self.secrets, error, writer)

    def test_the_writer_keeps_its_secrets(self) -> None:
        """The text and repr of the writer show no secret."""
        check_silent(self.secrets, self.make())
