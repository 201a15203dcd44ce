package guard

// Rest is rest.
var Rest = rest
