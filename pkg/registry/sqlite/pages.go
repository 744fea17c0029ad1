package sqlite

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/klauspost/compress/s2"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/pipeline"
	"chandler.dev/olm/pkg/registry/wire"
)

// pages writes the answer of ListBundles. One goroutine reads what is common to
// every bundle, as many as there are cores make pages of it, this one writes them.
func (w *writer) pages(ctx context.Context, members []registry.Member) error {
	number := 0
	for page, err := range pipeline.Ordered(ctx, func(ctx context.Context, start func(func() page) error) error {
		return w.messages(ctx, members, start)
	}) {
		if err := errors.Join(err, page.err); err != nil {
			return err
		}
		number++
		if err := w.exec(ctx, `INSERT INTO page (number, data_z) VALUES (?, ?)`, number, page.data); err != nil {
			return err
		}
	}
	return nil
}

// messages starts the making of every page.
func (w *writer) messages(ctx context.Context, members []registry.Member, start func(func() page) error) error {
	commonOf, err := w.tx.PrepareContext(ctx, `SELECT common_z FROM bundle WHERE id = ?`)
	if err != nil {
		return err
	}
	defer commonOf.Close() //nolint:errcheck // the transaction ends it
	dictionaries := map[string]*s2.Dict{}
	var next messages
	for _, m := range members {
		id, ok := w.ids[wire.Address{Package: m.Package, Bundle: m.Name}]
		if !ok {
			continue
		}
		d, ok := dictionaries[m.Package]
		if !ok {
			d = storedDictionary{common: w.shared.stored(m.Package).common}.open().common
			dictionaries[m.Package] = d
		}
		one := message{dictionary: d}
		if err := commonOf.QueryRowContext(point(ctx), id).Scan(&one.common); err != nil {
			return err
		}
		if one.place, err = w.place(m); err != nil {
			return err
		}
		if w.inline[id] {
			one.content = uint64(id)
		}
		if next.add(one, w.commonSizes[id]); next.size < pageSize {
			continue
		}
		if err := start(next.page); err != nil {
			return err
		}
		next = messages{}
	}
	if next.size == 0 {
		return nil
	}
	return start(next.page)
}

// place returns what ListBundles says of the place of a bundle.
func (w *writer) place(m registry.Member) ([]byte, error) {
	place := wire.Place(m.Channel, m.Entry)
	place.Deprecation = wire.Deprecation(w.deprecations[wire.Address{Package: m.Package, Bundle: m.Name}])
	return proto.MarshalOptions{Deterministic: true}.Marshal(place)
}

// message is one of ListBundles before it is put together.
type message struct {
	content       uint64 // id of the bundle whose content has to be added; 0 if none
	common, place []byte
	dictionary    *s2.Dict // with which common is compressed
}

// messages are those of a page.
type messages struct {
	all  []message
	size int // of the page
}

func (m *messages) add(one message, common int) {
	length := common + len(one.place)
	m.size += protowire.SizeVarint(one.content) + protowire.SizeVarint(uint64(length)) + length
	m.all = append(m.all, one)
}

// page is a page as it is stored.
type page struct {
	data []byte
	err  error
}

func (m messages) page() page {
	data := make([]byte, 0, m.size)
	var common []byte
	for _, one := range m.all {
		var err error
		if common, err = expandWith(one.dictionary, common[:0], one.common); err != nil {
			return page{err: err}
		}
		data = binary.AppendUvarint(data, one.content)
		data = binary.AppendUvarint(data, uint64(len(common)+len(one.place)))
		data = append(append(data, common...), one.place...)
	}
	return page{data: compress(data)}
}
