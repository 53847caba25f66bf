package crash

func mayFail(int64) bool { return true }
