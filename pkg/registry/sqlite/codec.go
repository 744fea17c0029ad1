package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/proto"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/wire"
)

// contentKind says in which form a bundle's content is kept.
type contentKind int

const (
	noContent       contentKind = 0
	messageContent  contentKind = 1 // Bundle: csvJson and object
	templateContent contentKind = 2 // a template, from which the metadata can be read back
	bothContent     contentKind = 3 // a template and the metadata
)

// window is how far back compression looks. Each encoder keeps that much; few
// bundles are larger.
const window = 1 << 20

// maxBlob bounds what a damaged file can make us allocate.
const maxBlob = 256 << 20

var errDamaged = errors.New("the row is damaged")

// encoders are those of building: serving needs none of their tables.
var encoders = sync.Pool{New: func() any {
	// The same input must give the same file, so one goroutine per block.
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(window), zstd.WithEncoderCRC(false))
	if err != nil {
		panic(err) //nolint:forbidigo // only broken constants fail
	}
	return enc
}}

var decoder = sync.OnceValue(func() *zstd.Decoder {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(runtime.GOMAXPROCS(0)), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxBlob))
	if err != nil {
		panic(err) //nolint:forbidigo // only broken constants fail
	}
	return dec
})

func compress(b []byte) []byte {
	enc := encoders.Get().(*zstd.Encoder) // the pool holds nothing else
	defer encoders.Put(enc)
	return enc.EncodeAll(b, nil)
}

// expand appends what compress was given to dst.
func expand(dst, z []byte) ([]byte, error) {
	out, err := decoder().DecodeAll(z, dst)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return out, nil
}

// encodeContent returns the form in which the content of a bundle is kept.
func encodeContent(b registry.Bundle) (contentKind, []byte, error) {
	c := b.Content
	if len(c.CSV) == 0 && len(c.Objects) == 0 && len(c.Metadata) > 0 {
		return encodeTemplate(b)
	}
	if len(c.CSV) == 0 && len(c.Objects) == 0 {
		return noContent, nil, nil
	}
	msg, err := wire.Content(registry.Package{}, b)
	if err != nil {
		return noContent, nil, err
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(msg)
	return messageContent, data, err
}

func encodeTemplate(b registry.Bundle) (contentKind, []byte, error) {
	t, faithful, err := wire.NewTemplate(b)
	if err != nil {
		return noContent, nil, err
	}
	data := make([]byte, 0, len(t.CSV)+4*binary.MaxVarintLen32)
	data = binary.AppendUvarint(data, uint64(t.DescriptionAt))
	data = binary.AppendUvarint(data, uint64(t.IconAt))
	data = binary.AppendUvarint(data, uint64(len(t.CSV)))
	data = append(data, t.CSV...)
	if faithful {
		return templateContent, data, nil
	}
	return bothContent, append(data, b.Content.Metadata...), nil
}

// decodeTemplate returns the template and what follows it.
func decodeTemplate(data []byte) (wire.Template, []byte, error) {
	var numbers [3]int
	for i := range numbers {
		n, size := binary.Uvarint(data)
		if size <= 0 || n > math.MaxInt32 {
			return wire.Template{}, nil, errDamaged
		}
		numbers[i], data = int(n), data[size:]
	}
	t := wire.Template{DescriptionAt: numbers[0], IconAt: numbers[1]}
	if numbers[2] > len(data) || t.IconAt > numbers[2] || t.DescriptionAt > t.IconAt {
		return wire.Template{}, nil, errDamaged
	}
	t.CSV = data[:numbers[2]]
	return t, data[numbers[2]:], nil
}
