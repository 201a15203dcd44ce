package node

// Fitting is fitting, and SlowFitting is slowFitting.
var (
	Fitting     = fitting
	SlowFitting = slowFitting
)
