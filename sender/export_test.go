package sender

// MemoryUsed is what messages under way take beside what they share, in octets.
func (s *Sender) MemoryUsed() int { return s.memory.Used() }
