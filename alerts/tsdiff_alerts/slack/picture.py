"""Attaches an event's picture to its thread: https://docs.slack.dev/messaging/working-with-files#uploading_files"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tsdiff_alerts.message.phrases import headline, shorten, summary
from tsdiff_alerts.message.picture import draw
from tsdiff_monitor.errors import DeliveryError
from tsdiff_monitor.events.event import EventChange

if TYPE_CHECKING:
    from tsdiff_alerts.slack.api import SlackApi

__all__ = ["attach_picture"]


def attach_picture(api: SlackApi, change: EventChange, channel: str, ts: str) -> str | None:
    """Upload the picture into the thread of ``ts``; its file's id, or None where there is nothing to draw.

    Raises ``DeliveryError`` for every failure.
    """
    from slack_sdk.errors import SlackApiError

    try:
        picture = draw(change)
    except Exception as error:  # unusual data may break the drawing in unforeseen ways
        said = f"the picture cannot be drawn: {type(error).__name__}"
        raise DeliveryError(said, recoverable=False, reason="picture") from error
    if picture is None:
        return None
    said = shorten(summary(change), 900)
    try:
        place = api.files_getUploadURLExternal(filename="event.png", length=len(picture), alt_txt=said)
        file_id = str(place["file_id"])
        api.upload(str(place["upload_url"]), picture, "image/png")
        title = shorten(headline(change), 200)
        files: list[dict[str, str | None]] = [{"id": file_id, "title": title}]
        api.files_completeUploadExternal(files=files, channel_id=channel, thread_ts=ts)
    except SlackApiError as error:
        raise api.delivery_error(error, f"{channel} (the picture)") from None
    return file_id
