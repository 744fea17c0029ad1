package cluster

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
)

// Ports are taken below the range from which the kernel takes those of outgoing connections, so that a component that
// is started again finds its port free.
const (
	lowestPort  = 20000
	highestPort = 32000
)

// freePorts returns n different ports of the loopback address on which nothing listens now. Another process may be
// faster in using one: who starts a listener there must be ready to try again with others.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range 1000 {
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		if slices.Contains(ports, port) || !isFree(port) {
			continue
		}
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("no %d free ports between %d and %d", n, lowestPort, highestPort)
}

// isFree tries the wildcard address, which fails if any address of the port is in use.
func isFree(port int) bool {
	l, err := net.Listen("tcp", ":"+strconv.Itoa(port)) //nolint:noctx // nothing to wait for
	if err != nil {
		return false
	}
	return l.Close() == nil
}
