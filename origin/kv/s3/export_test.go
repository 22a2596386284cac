package s3

// What the fuzz target compares with.
var (
	ObjectName = objectName
	Escape     = escape
)
