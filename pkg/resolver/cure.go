package resolver

import "context"

func (a *answers) cure(_ context.Context, _ Problem, _ *answered) {}
