package legacy

import (
	"database/sql"
	"errors"
	"slices"

	"chandler.dev/olm/pkg/registry"
)

// place is a row of channel_entry. A bundle has several in a channel: one on
// the way down from the head, and one more for every bundle that it skips.
type place struct {
	id              int64
	channel, bundle string
	replaces        int64 // id of another row, 0 if none
	depth           int64
}

func scanPlace(rows *sql.Rows) (p place, err error) {
	err = rows.Scan(&p.id, &p.channel, &p.bundle, &p.replaces, &p.depth)
	return p, errors.Join(err, checkName(p.channel), checkName(p.bundle))
}

// channels makes the channels of a package from its rows, sorted by channel
// and depth. known has the range of versions of the bundles that exist.
func channels(places []place, known map[string]*string) []registry.Channel {
	var all []registry.Channel
	for len(places) > 0 {
		n := slices.IndexFunc(places, func(p place) bool { return p.channel != places[0].channel })
		if n < 0 {
			n = len(places)
		}
		if ch := channelOf(places[:n], known); len(ch.Entries) > 0 {
			all = append(all, ch)
		}
		places = places[n:]
	}
	return all
}

// channelOf follows replaces from the first row: those edges are what bundles
// replace. All other edges are what they skip.
func channelOf(rows []place, known map[string]*string) registry.Channel {
	byID := map[int64]place{}
	for _, p := range rows {
		byID[p.id] = p
	}
	entries := map[string]*registry.Entry{}
	ch := registry.Channel{Name: rows[0].channel}
	var order []string
	entry := func(bundle string) *registry.Entry {
		if entries[bundle] == nil {
			entries[bundle] = &registry.Entry{Name: bundle}
			order = append(order, bundle)
		}
		return entries[bundle]
	}
	chain := map[int64]bool{}
	for p, ok := rows[0], true; ok && !chain[p.id]; {
		chain[p.id] = true
		next, more := byID[p.replaces]
		if e := entry(p.bundle); more && e.Replaces == "" {
			e.Replaces = next.bundle
		}
		p, ok = next, more
	}
	skipped := map[[2]string]bool{}
	for _, p := range rows {
		e := entry(p.bundle)
		next, ok := byID[p.replaces]
		edge := [2]string{p.bundle, next.bundle}
		if ok && !chain[p.id] && next.bundle != e.Replaces && !skipped[edge] {
			skipped[edge] = true
			e.Skips = append(e.Skips, next.bundle)
		}
	}
	for _, name := range slices.Backward(order) {
		if skipRange := known[name]; skipRange != nil {
			e := *entries[name]
			e.SkipRange = *skipRange
			ch.Entries = append(ch.Entries, e)
		}
	}
	if heads := registry.Heads(ch); len(heads) == 1 {
		ch.Head = heads[0]
	}
	return ch
}
