package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"google.golang.org/protobuf/proto"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/wire"
	api "chandler.dev/olm/proto"
)

const (
	packageAnswerQuery = `SELECT answer FROM package WHERE name = ?`

	bundleAnswerQuery = `SELECT e.place, b.common_z, b.kind, b.content_z
		FROM entry e JOIN bundle b ON b.id = e.bundle
		WHERE e.package = ? AND e.channel = ? AND e.name = ?`

	latestQuery = `SELECT l.package, l.channel, c.head, e.replaces, e.skip_range, l.skips
		FROM api a JOIN latest l ON l.api = a.id
		JOIN channel c ON c.package = l.package AND c.name = l.channel
		JOIN entry e ON e.package = l.package AND e.channel = l.channel AND e.name = c.head
		WHERE a.key = ? ORDER BY l.package, l.channel`

	defaultProviderQuery = `SELECT l.package, l.channel, c.head
		FROM api a JOIN latest l ON l.api = a.id
		JOIN package p ON p.name = l.package AND p.default_channel = l.channel
		JOIN channel c ON c.package = l.package AND c.name = l.channel
		WHERE a.key = ? ORDER BY l.package LIMIT 1`

	providersQuery = `SELECT e.package, e.channel, e.name, e.replaces, e.skip_range, e.skips
		FROM api a JOIN provider p ON p.api = a.id JOIN bundle b ON b.id = p.bundle
		CROSS JOIN channel c ON c.package = b.package
		CROSS JOIN entry e ON e.package = b.package AND e.channel = c.name AND e.name = b.name
		WHERE a.key = ? ORDER BY e.package, e.channel, e.name`

	upgradingQuery = `SELECT e.package, e.channel, e.name, e.replaces, e.skip_range, e.skips
		FROM edge g JOIN entry e ON e.package = g.package AND e.channel = g.channel AND e.name = g.name
		WHERE g.older = ? ORDER BY e.package, e.channel, e.name`
)

// point returns a context for a read that is over before anybody could cancel
// it; the driver spends a goroutine on every read that can be cancelled.
func point(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }

func (s *Store) PackageAnswer(ctx context.Context, name string) (*api.Package, error) {
	var answer []byte
	err := s.packageAnswer.QueryRowContext(point(ctx), name).Scan(&answer)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, wire.NoPackage(name)
	}
	if err != nil {
		return nil, err
	}
	msg := &api.Package{}
	return msg, proto.Unmarshal(answer, msg)
}

func (s *Store) BundleAnswer(ctx context.Context, at wire.Address) (*api.Bundle, error) {
	answer, err := s.AppendBundleAnswer(ctx, at, nil)
	if err != nil {
		return nil, err
	}
	return wire.Encoded(answer.Whole()), nil
}

func (s *Store) AppendBundleAnswer(ctx context.Context, at wire.Address, dst []byte) (wire.Answer, error) {
	pkg, err := s.shared(ctx, at.Package)
	if err != nil {
		return wire.Answer{}, err
	}
	rows, err := s.bundleAnswer.QueryContext(point(ctx), at.Package, at.Channel, at.Bundle)
	if err != nil {
		return wire.Answer{}, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err reports it
	if !rows.Next() {
		return wire.Answer{}, errors.Join(rows.Err(), s.missing(ctx, at))
	}
	var (
		place, common, content sql.RawBytes
		kind                   contentKind
	)
	if err := rows.Scan(&place, &common, &kind, &content); err != nil {
		return wire.Answer{}, err
	}
	if dst, err = expandWith(pkg.common, append(dst, place...), common); err != nil {
		return wire.Answer{}, err
	}
	answer, err := pkg.append(dst, kind, content)
	return answer, errors.Join(err, rows.Err())
}

// append appends the content of a bundle to its other fields.
func (p shared) append(dst []byte, kind contentKind, z []byte) (wire.Answer, error) {
	switch kind {
	case messageContent:
		all, err := expandWith(p.content, dst, z)
		return wire.Answer{Fields: all}, err
	case templateContent, bothContent:
	case noContent:
		return wire.Answer{Fields: dst}, nil
	}
	n, err := expandedLen(z)
	if err != nil {
		return wire.Answer{}, err
	}
	start := len(dst) + p.fields.Room()
	dst = slices.Grow(dst, p.fields.Room()+n)
	all, err := expandWith(p.content, dst[:start], z)
	if err != nil {
		return wire.Answer{}, err
	}
	t, _, err := decodeTemplate(all[start:])
	if err != nil {
		return wire.Answer{}, err
	}
	return t.AppendTo(dst, p.fields), nil
}

// missing says what of an address the catalog does not have.
func (s *Store) missing(ctx context.Context, at wire.Address) error {
	p, err := s.Package(ctx, at.Package)
	if err != nil {
		return err
	}
	_, err = wire.EntryAt(p, at)
	if err == nil {
		err = failure.New(failure.NotFound, "package %q has no bundle %q", at.Package, at.Bundle)
	}
	return err
}

func (s *Store) Upgrading(ctx context.Context, bundle string) ([]registry.Member, error) {
	return Collect(ctx, s.db, scanMember, upgradingQuery, bundle)
}

func (s *Store) Providers(ctx context.Context, gvk registry.GVK) ([]registry.Member, error) {
	return Collect(ctx, s.db, scanMember, providersQuery, apiKey(gvk))
}

func (s *Store) Latest(ctx context.Context, gvk registry.GVK) ([]registry.Member, error) {
	rows, err := s.latest.QueryContext(point(ctx), apiKey(gvk))
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err reports it
	var all []registry.Member
	for rows.Next() {
		m, err := scanMember(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, rows.Err()
}

func (s *Store) DefaultProvider(ctx context.Context, gvk registry.GVK) (wire.Address, error) {
	var at wire.Address
	err := s.defaultProvider.QueryRowContext(point(ctx), apiKey(gvk)).Scan(&at.Package, &at.Channel, &at.Bundle)
	if errors.Is(err, sql.ErrNoRows) {
		return wire.Address{}, nil
	}
	return at, err
}

func (s *Store) Replacement(ctx context.Context, at wire.Address) (string, error) {
	names, err := Collect(ctx, s.db, scanString,
		`SELECT name FROM edge WHERE older = ? AND package = ? AND channel = ? ORDER BY rank LIMIT 1`, at.Bundle, at.Package, at.Channel)
	if err != nil {
		return "", err
	}
	if len(names) == 1 {
		return names[0], nil
	}
	p, err := s.Package(ctx, at.Package)
	if err != nil {
		return "", err
	}
	if _, ok := p.Channel(at.Channel); !ok {
		return "", wire.NoChannel(at)
	}
	return "", nil
}

func scanMember(rows *sql.Rows) (registry.Member, error) {
	var (
		m     registry.Member
		skips *string
	)
	if err := rows.Scan(&m.Package, &m.Channel, &m.Name, &m.Replaces, &m.SkipRange, &skips); err != nil {
		return m, err
	}
	var err error
	m.Skips, err = listOf[string](skips)
	return m, err
}
