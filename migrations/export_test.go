package migrations

var (
	UpFS   = up
	HashFS = hash
)
