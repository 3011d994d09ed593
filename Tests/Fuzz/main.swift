import Foundation
import FuzzTargets

// stockq-fuzz TARGET [libFuzzer's arguments]: see docs/internals/fuzzing.md. Only `make fuzz` builds it.

/// libFuzzer's entry point (`compiler-rt/lib/fuzzer/FuzzerInterface.h` in LLVM); it calls the callback with each input.
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

// libFuzzer gets the arguments without the target.
var words = CommandLine.unsafeArgv
words[1] = words[0]
words += 1
var count = CommandLine.argc - 1
exit(
    runDriver(&count, &words) { start, count in
        if let problem = target.problem(with: Array(UnsafeBufferPointer(start: start, count: count))) {
            // libFuzzer detects a finding by the crash.
            fatalError(problem)
        }
        return 0
    })
