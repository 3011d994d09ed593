import Foundation
import FuzzTargets

// stockq-fuzz TARGET [libFuzzer's arguments]: see docs/internals/fuzzing.md. Built by `make fuzz` alone.

/// libFuzzer's entry (`compiler-rt/lib/fuzzer/FuzzerInterface.h` in LLVM); the callback receives each input.
@_silgen_name("LLVMFuzzerRunDriver")
func runDriver(
    _ count: UnsafeMutablePointer<Int32>,
    _ words: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ callback: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32

let names = FuzzTarget.all.map(\.name)
guard CommandLine.arguments.count > 1, let index = names.firstIndex(of: CommandLine.arguments[1]) else {
    print("usage: stockq-fuzz \(names.joined(separator: "|")) [libFuzzer's arguments]")
    exit(2)
}
let target = FuzzTarget.all[index]

// libFuzzer does not know the targets.
var words = CommandLine.unsafeArgv
words[1] = words[0]
words += 1
var count = CommandLine.argc - 1
exit(
    runDriver(&count, &words) { start, count in
        if let problem = target.problem(with: Array(UnsafeBufferPointer(start: start, count: count))) {
            // A crash reports a finding to libFuzzer.
            fatalError(problem)
        }
        return 0
    })
