package returns

// SaidOf is saidOf.
var SaidOf = saidOf
