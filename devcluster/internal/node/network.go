package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"time"

	"chandler.dev/olm/devcluster/internal/clock"
)

const (
	networks = 250
	// staleNetwork bounds how long the network of a node that died may take to go away.
	staleNetwork = 5 * time.Second
	nodeDevice   = "eth0"
)

// Network is one of the small networks that connect this machine with a node: a pair of addresses for the cable and a
// range for the pods, all from the block that is reserved for tests of network devices.
type Network struct {
	Index int `json:"index"`
}

// HostIP is the address of this machine on the cable: where pods reach the API server.
func (n Network) HostIP() net.IP { return net.IPv4(198, 18, byte(n.Index), 1) }

// NodeIP is the address of the node, which this machine reaches directly.
func (n Network) NodeIP() net.IP { return net.IPv4(198, 18, byte(n.Index), 2) }

// PodCIDR is the range of the pods, which this machine reaches directly too.
func (n Network) PodCIDR() string { return fmt.Sprintf("198.19.%d.0/24", n.Index) }

func (n Network) device() string { return fmt.Sprintf("chandler%d", n.Index) }

// Attach connects the network namespace of the process with this machine by a free network.
func Attach(ctx context.Context, pid int) (Network, error) {
	for i := range networks {
		n := Network{Index: i}
		if _, err := net.InterfaceByName(n.device()); err == nil {
			continue
		}
		err := n.connect(ctx, pid)
		if err == nil || !errors.Is(err, errTaken) {
			return n, err
		}
	}
	return Network{}, fmt.Errorf("all %d networks are in use", networks)
}

// Reattach connects the namespace of the process by this very network, once that of its predecessor has gone.
func (n Network) Reattach(ctx context.Context, pid int) error {
	ctx, cancel := context.WithTimeout(ctx, staleNetwork)
	defer cancel()
	for {
		err := n.connect(ctx, pid)
		if err == nil || !errors.Is(err, errTaken) {
			return err
		}
		if clock.Wait(ctx, 50*time.Millisecond) != nil {
			return err
		}
	}
}

// errTaken means that another node has the network.
var errTaken = errors.New("the network is taken")

// connect lays the cable. The kernel removes it, and the routes with it, together with the namespace.
func (n Network) connect(ctx context.Context, pid int) error {
	add := fmt.Sprintf("link add %s type veth peer name %s netns %d", n.device(), nodeDevice, pid)
	if err := ip(ctx, add); err != nil {
		if strings.Contains(err.Error(), "File exists") {
			return fmt.Errorf("%w: %w", errTaken, err)
		}
		return err
	}
	return ips(
		ctx,
		fmt.Sprintf("addr add %s/30 dev %s", n.HostIP(), n.device()),
		fmt.Sprintf("link set %s up", n.device()),
		fmt.Sprintf("route add %s via %s", n.PodCIDR(), n.NodeIP()),
	)
}

// configure sets up the node's end of the cable, from inside.
func (n Network) configure(ctx context.Context) error {
	return ips(
		ctx,
		"link set lo up",
		fmt.Sprintf("addr add %s/30 dev %s", n.NodeIP(), nodeDevice),
		fmt.Sprintf("link set %s up", nodeDevice),
		fmt.Sprintf("route add default via %s", n.HostIP()),
	)
}

func ips(ctx context.Context, commands ...string) error {
	for _, c := range commands {
		if err := ip(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// ip runs one command of iproute2.
func ip(ctx context.Context, command string) error {
	out, err := exec.CommandContext(ctx, "ip", strings.Fields(command)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", command, err, strings.TrimSpace(string(out)))
	}
	return nil
}

func sortedKeys(set map[string]bool) []string {
	var keys []string
	for k := range set {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
