package admission

import (
	"encoding/json"
	"path"
)

// Record says who asked for something or approved it, as the API server knew them at
// that moment.
type Record struct {
	Username string   `json:"username"`
	UID      string   `json:"uid,omitempty"`
	Groups   []string `json:"groups,omitempty"`
	// Epoch is that of the policies which were in force. A record of another epoch may
	// have been written by anybody.
	Epoch string `json:"epoch"`
}

// ReadRecord reads an annotation of the epoch; nil if that says nothing that can be
// believed.
func ReadRecord(annotation, epoch string) *Record {
	r := &Record{}
	if json.Unmarshal([]byte(annotation), r) != nil || !r.valid(epoch) {
		return nil
	}
	return r
}

// ReadRecords reads an annotation with a list of records; nil if one of them says
// nothing that can be believed.
func ReadRecords(annotation, epoch string) []Record {
	var list []Record
	if json.Unmarshal([]byte(annotation), &list) != nil {
		return nil
	}
	for i := range list {
		if !list[i].valid(epoch) {
			return nil
		}
	}
	return list
}

// WriteRecords writes the annotation that ReadRecords reads.
func WriteRecords(list []Record) (string, error) {
	b, err := json.Marshal(list)
	return string(b), err
}

// Matches tells whether the user is one of a pattern, such as system:serviceaccount:argocd:*.
func (r *Record) Matches(pattern string) bool {
	ok, err := path.Match(pattern, r.Username)
	return ok && err == nil
}

func (r *Record) valid(epoch string) bool {
	return r.Username != "" && epoch != "" && r.Epoch == epoch
}
