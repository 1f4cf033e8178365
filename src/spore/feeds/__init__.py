"""Feeds: where events come from. Each turns the form of one kind of source into the messages of `spore.services`."""

from spore.feeds.feed import Account, Feed, RecordedFeed

__all__ = ["Account", "Feed", "RecordedFeed"]
