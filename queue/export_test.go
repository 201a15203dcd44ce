package queue

// What records outcomes, and asks whether COPY may.
const (
	FinishSQL = finishSQL
	PlainSQL  = plainSQL
)
