"""Makes a failing case smaller: leaves out what can be left out."""

import copy


def _places(data, path=()):
    """Every list item and dictionary entry inside, the outer ones first."""
    if isinstance(data, dict):
        keys = list(data)
    elif isinstance(data, list):
        keys = list(range(len(data)))[::-1]
    else:
        return
    for key in keys:
        yield (*path, key)
    for key in keys:
        yield from _places(data[key], (*path, key))


def _without(data, path):
    smaller = copy.deepcopy(data)
    place = smaller
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    return smaller


def shrink(data, still_fails, tries=3000):
    """The smallest case found for which still_fails(case); it may raise for nonsense."""
    progress = True
    while progress and tries > 0:
        progress = False
        for path in list(_places(data)):
            tries -= 1
            try:
                smaller = _without(data, path)
                if still_fails(smaller):
                    data, progress = smaller, True
                    break
            except (KeyError, IndexError, TypeError, ValueError):
                continue
    return data
