package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"chandler.dev/olm/pkg/failure"
)

// The seal is a row of meta whose last bytes are a checksum of the whole file
// without them. It is written after SQLite has closed the file, and tells a
// damaged or truncated file when it is opened, at the speed of memory.
const (
	sealMark   = "chandler.dev/catalog seal: \x00\x01\x02" // unique in the file by its place on the first pages
	sealLength = 4
	sealReach  = 64 << 10 // the seal is within so many bytes of the start
	fileMagic  = "SQLite format 3\x00"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal writes the checksum into a file that Create has finished.
func seal(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // Sync reports it
	at, err := sealAt(f)
	if err != nil {
		return err
	}
	sum, err := checksum(f, at)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(sum, at); err != nil {
		return err
	}
	return f.Sync()
}

// checkSeal fails if the file is not what Create wrote.
func checkSeal(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return failure.New(failure.NotFound, "no catalog file at %q", path).WithHint("build one with `catalog build`")
	}
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	at, err := sealAt(f)
	if err != nil {
		return foreign(path, err)
	}
	want, err := checksum(f, at)
	if err != nil {
		return err
	}
	got := make([]byte, sealLength)
	if _, err := f.ReadAt(got, at); err != nil || !bytes.Equal(got, want) {
		return failure.New(failure.Invalid, "catalog file %q is damaged", path).WithHint("build it again with `catalog build`")
	}
	return nil
}

func foreign(path string, err error) error {
	e := failure.New(failure.Invalid, "%q is not a catalog file of this program, or it is damaged", path).
		WithHint("build it again with `catalog build`")
	e.Err = err
	return e
}

// sealAt returns where the checksum of a file is.
func sealAt(f *os.File) (int64, error) {
	head := make([]byte, sealReach)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if !bytes.HasPrefix(head, []byte(fileMagic)) {
		return 0, errors.New("it is no SQLite file")
	}
	at := bytes.Index(head[:n], []byte(sealMark))
	if at < 0 || at+len(sealMark)+sealLength > n {
		return 0, errors.New("it has no seal")
	}
	return int64(at + len(sealMark)), nil
}

// checksum returns the sum of a file as if the seal were empty.
func checksum(f *os.File, sealAt int64) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	h := crc32.New(castagnoli)
	for _, part := range []*io.SectionReader{
		io.NewSectionReader(f, 0, sealAt),
		io.NewSectionReader(f, sealAt+sealLength, info.Size()-sealAt-sealLength),
	} {
		if _, err := io.CopyBuffer(h, struct{ io.Reader }{part}, make([]byte, 256<<10)); err != nil {
			return nil, fmt.Errorf("read %s: %w", f.Name(), err)
		}
	}
	return h.Sum(nil), nil
}
