package phase

// maxTransitions bounds how many phases one reconcile passes through. The longest way,
// from a lost Deployment of a Succeeded version to its reinstall, has four.
const maxTransitions = 6

// Path follows Next from o until there is something to do, nothing changes, or
// maxTransitions is reached. It has at least one element; only the last one can have an
// action or a time to look again. So phases that need no waiting cost one write of
// status, and the history of conditions still shows each.
func Path(o Observation) []Decision {
	var path []Decision
	for range maxTransitions {
		d := Next(o)
		path = append(path, d)
		if d.Do != Nothing || !d.Changes(o) {
			return path
		}
		if d.Phase != o.Phase {
			o.Elapsed = 0
		}
		o.Phase, o.Reason, o.Message = d.Phase, d.Reason, d.Message
	}
	return path
}
