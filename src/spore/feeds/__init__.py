"""Feeds: where events come from. Each turns the form of one kind of source into the messages of `spore.services`.

Read `feed` first, then `open`: which feeds there are, and how they are named; `pace` plays a recorded one at a rate.
"""

from spore.feeds.feed import Account, Feed, RecordedFeed
from spore.feeds.open import FORMS, feed_of, open_feed
from spore.feeds.pace import at_rate

__all__ = ["FORMS", "Account", "Feed", "RecordedFeed", "at_rate", "feed_of", "open_feed"]
