package process_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"boxoffice/test/process"
)

// leaveRunning is the environment variable that makes the test binary start a program
// and wait, instead of running the tests.
const leaveRunning = "PROCESS_AS_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(leaveRunning) != "" {
		startAndWait()
	}
	os.Exit(m.Run())
}

// startAndWait starts a program, and waits until this process is killed.
func startAndWait() {
	cmd := exec.Command("sleep", "600")
	cmd.Stdout = os.Stdout
	ended, err := process.Start(cmd, syscall.SIGTERM)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("started")
	<-ended
	fmt.Println("ended early")
	os.Exit(1)
}

func TestProgramEndsWhenItsTestIsKilled(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends a program with its parent")
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), leaveRunning+"=1")
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if err := r.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(r)
	if line, err := out.ReadString('\n'); line != "started\n" {
		t.Errorf("first line: got %q, %v, want \"started\"", line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // returns an error, because the process was killed
	// The pipe ends when no process has it open for writing any more.
	if rest, err := io.ReadAll(out); err != nil || len(rest) > 0 {
		t.Errorf("the program still runs: got %q, %v, want the end of the pipe", rest, err)
	}
}
