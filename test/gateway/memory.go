package gateway

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Memory returns what the process holds of the machine's memory now, and the most it has held since the last ForgetPeak, in
// bytes (Linux). The peak is the kernel's own: nothing between two looks is missed.
func (in *Instance) Memory() (resident, peak int64) {
	in.tb.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", in.cmd.Process.Pid))
	if err != nil {
		in.tb.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "VmRSS:" && fields[0] != "VmHWM:" {
			continue
		}
		kilobytes, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			in.tb.Fatal(err)
		}
		if fields[0] == "VmRSS:" {
			resident = kilobytes << 10
		} else {
			peak = kilobytes << 10
		}
	}
	return resident, peak
}

// ForgetPeak has the kernel begin to look for the peak anew (proc(5), clear_refs).
func (in *Instance) ForgetPeak() {
	in.tb.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", in.cmd.Process.Pid), []byte("5"), 0o200); err != nil {
		in.tb.Fatal(err)
	}
}
