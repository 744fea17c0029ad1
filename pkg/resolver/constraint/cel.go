package constraint

import (
	"encoding/json"
	"fmt"
	"sync"

	"github.com/blang/semver/v4"
	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// Limits of a CEL rule. A rule beyond them is refused when it is read, or does
// not match when it runs.
const (
	maxRuleSize  = 16 << 10 // characters
	maxRuleDepth = 100      // nested expressions
	maxRuleCost  = 1 << 20  // units of cel-go, roughly one per operation
)

// celPredicate asks a rule over the list of all properties of a bundle.
type celPredicate struct {
	rule    string
	program cel.Program
}

// environment has the one variable and the one function of the existing
// resolver.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(
		cel.Variable("properties", cel.ListType(cel.MapType(cel.StringType, cel.AnyType))),
		cel.Function("semver_compare", cel.Overload("semver_compare_any",
			[]*cel.Type{cel.AnyType, cel.AnyType}, cel.IntType, cel.BinaryBinding(compareSemver))),
		cel.ParserExpressionSizeLimit(maxRuleSize),
		cel.ParserRecursionLimit(maxRuleDepth),
	)
})

func newCEL(rule string) (Predicate, error) {
	env, err := environment()
	if err != nil {
		return nil, err
	}
	ast, issues := env.Compile(rule)
	if err := issues.Err(); err != nil {
		return nil, fmt.Errorf("cel rule %q: %w", rule, err)
	}
	if ast.OutputType() != cel.BoolType {
		return nil, fmt.Errorf("cel rule %q gives %s, not a bool", rule, ast.OutputType())
	}
	program, err := env.Program(ast, cel.CostLimit(maxRuleCost))
	if err != nil {
		return nil, fmt.Errorf("cel rule %q: %w", rule, err)
	}
	return celPredicate{rule, program}, nil
}

// Match is false if the rule fails or costs too much.
func (p celPredicate) Match(f *Facts) bool {
	out, _, err := p.program.Eval(map[string]any{"properties": f.decoded()})
	if err != nil {
		return false
	}
	answer, ok := out.Value().(bool)
	return ok && answer
}

func (p celPredicate) Keys() Keys      { return Keys{Anywhere: true} }
func (p celPredicate) Subject() string { return p.String() }
func (p celPredicate) String() string  { return fmt.Sprintf("with constraint: %q", p.rule) }

// decoded returns the properties as a rule sees them: null for one that is not
// JSON.
func (f *Facts) decoded() []map[string]any {
	all := make([]map[string]any, len(f.properties))
	for i, p := range f.properties {
		var v any
		if json.Unmarshal(p.Value, &v) == nil {
			all[i] = map[string]any{"type": p.Type, "value": v}
		}
	}
	return all
}

func compareSemver(a, b ref.Val) ref.Val {
	va, err := semver.ParseTolerant(fmt.Sprint(a.Value()))
	if err != nil {
		return types.WrapErr(err)
	}
	vb, err := semver.ParseTolerant(fmt.Sprint(b.Value()))
	if err != nil {
		return types.WrapErr(err)
	}
	return types.Int(va.Compare(vb))
}
