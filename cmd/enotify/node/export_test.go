package node

// Fitting is fitting.
var Fitting = fitting
