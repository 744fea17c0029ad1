// Package pages gives memory of this process back to the system that it can
// have again at no price but time.
package pages

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// DropUntouched tells the kernel to forget the pages of the program file that
// nobody changed. A start touches most of it, because the types of every library
// register themselves; what the program then runs is less, and comes back from
// the page cache when it is used. On systems other than Linux it does nothing.
func DropUntouched() error {
	file, err := os.Open("/proc/self/smaps")
	if err != nil {
		return nil // not Linux: nothing to give back
	}
	defer func() { _ = file.Close() }()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ranges, err := untouched(file, self)
	if err != nil {
		return err
	}
	for _, r := range ranges {
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, r.start, r.end-r.start, unix.MADV_DONTNEED); errno != 0 {
			return errno
		}
	}
	return nil
}

// addresses are those of a mapping.
type addresses struct{ start, end uintptr }

// untouched returns the mappings of a file that cannot be written and of which
// no page differs from the file, so that none can be lost.
func untouched(smaps io.Reader, name string) (all []addresses, err error) {
	var at addresses
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) == 0:
		case strings.Contains(fields[0], "-"): // a mapping begins: address, mode, offset, device, inode, path
			at = addresses{}
			if len(fields) == 6 && fields[5] == name && !strings.Contains(fields[1], "w") {
				if _, err := fmt.Sscanf(fields[0], "%x-%x", &at.start, &at.end); err != nil {
					return nil, err
				}
			}
		case fields[0] == "Anonymous:" && at.end > at.start && fields[1] == "0":
			all = append(all, at)
		}
	}
	return all, lines.Err()
}
