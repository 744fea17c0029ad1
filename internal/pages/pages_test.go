package pages

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUntouched(t *testing.T) {
	const smaps = `00400000-00401000 r--p 00000000 fe:00 1 /bin/program
Rss: 4 kB
Anonymous:             0 kB
00401000-00403000 r-xp 00001000 fe:00 1 /bin/program
Anonymous:             4 kB
00403000-00404000 rw-p 00003000 fe:00 1 /bin/program
Anonymous:             0 kB
00404000-00405000 r--p 00000000 fe:00 2 /lib/other
Anonymous:             0 kB
7f0000000000-7f0000001000 r--p 00000000 00:00 0
Anonymous:             0 kB
00406000-00407000 r--p 00004000 fe:00 1 /bin/program
Anonymous:             0 kB
`
	got, err := untouched(strings.NewReader(smaps), "/bin/program")
	want := []addresses{{0x400000, 0x401000}, {0x406000, 0x407000}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(addresses{})); err != nil || diff != "" {
		t.Errorf("untouched() %v (-want +got):\n%s", err, diff)
	}
}

// TestDropUntouched goes on running without the pages.
func TestDropUntouched(t *testing.T) {
	if err := DropUntouched(); err != nil {
		t.Fatal(err)
	}
}
