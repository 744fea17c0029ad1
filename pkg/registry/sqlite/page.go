package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"iter"

	"chandler.dev/olm/pkg/registry/wire"
	api "chandler.dev/olm/proto"
)

// A page is a run of the messages of ListBundles, compressed together. Each is
// the id of the bundle whose content has to be added (0 if none), the length
// of the message, the message.
const pageSize = 128 << 10

func (s *Store) BundleAnswers(ctx context.Context) iter.Seq2[*api.Bundle, error] {
	return func(yield func(*api.Bundle, error) bool) {
		// Point reads: a reader that is slow must not hold a connection.
		for number := 1; ; number++ {
			page, err := s.page(ctx, number)
			if err != nil || page == nil {
				if err != nil {
					yield(nil, err)
				}
				return
			}
			for len(page) > 0 {
				msg, rest, err := s.listed(ctx, page)
				if !yield(msg, err) || err != nil {
					return
				}
				page = rest
			}
		}
	}
}

// page returns a page, nil behind the last one.
func (s *Store) page(ctx context.Context, number int) ([]byte, error) {
	found, err := Collect(ctx, s.db, func(rows *sql.Rows) ([]byte, error) {
		var z sql.RawBytes
		if err := rows.Scan(&z); err != nil {
			return nil, err
		}
		return expand(nil, z)
	}, `SELECT data_z FROM page WHERE number = ?`, number)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}

// listed returns the first message of a page and the rest of the page.
func (s *Store) listed(ctx context.Context, page []byte) (*api.Bundle, []byte, error) {
	id, n := binary.Uvarint(page)
	if n <= 0 {
		return nil, nil, errDamaged
	}
	page = page[n:]
	size, n := binary.Uvarint(page)
	if n <= 0 || size > uint64(len(page)-n) {
		return nil, nil, errDamaged
	}
	msg, rest := page[n:n+int(size):n+int(size)], page[n+int(size):]
	if id == 0 {
		return wire.Encoded(msg), rest, nil
	}
	var (
		kind contentKind
		pkg  string
		z    []byte
	)
	err := s.db.QueryRowContext(ctx, `SELECT kind, package, content_z FROM bundle WHERE id = ?`, int64(id)).Scan(&kind, &pkg, &z)
	if err != nil {
		return nil, nil, err
	}
	if kind != messageContent {
		return wire.Encoded(msg), rest, nil
	}
	d, err := s.shared(ctx, pkg)
	if err != nil {
		return nil, nil, err
	}
	full, err := expandWith(d.content, append([]byte(nil), msg...), z)
	if err != nil {
		return nil, nil, err
	}
	return wire.Encoded(full), rest, nil
}
