/// Completions of a program's commands and options for a shell, made from its spec.
package enum CompletionShell: String, CaseIterable, Sendable {
    case bash, zsh, fish
}

extension ProgramSpec {
    /// A script that a shell loads.
    package func completions(for shell: CompletionShell) -> String {
        let tree = CompletionTree(self)
        return switch shell {
        case .bash: tree.bash()
        case .zsh: tree.zsh()
        case .fish: tree.fish()
        }
    }
}

/// The words that can follow each part of a command's path.
private struct CompletionTree {
    /// A place in the command line: behind these words.
    struct Place {
        /// Empty for the program itself.
        var path: [String]
        var words: [(word: String, help: String)]
        var options: [ParameterInfo]
        var takesFiles: Bool

        var name: String { path.joined(separator: " ") }
    }

    let program: String
    let places: [Place]

    init(_ spec: ProgramSpec) {
        program = spec.name
        var places = [
            Place(
                path: [], words: Self.words(behind: [], of: spec),
                options: (spec.globalOptions + [CommandSpec.help]).map(\.info), takesFiles: false)
        ]
        for family in Set(spec.commands.filter { $0.path.count > 1 }.map { $0.path[0] }).sorted() {
            places.append(
                Place(
                    path: [family], words: Self.words(behind: [family], of: spec), options: [CommandSpec.help.info],
                    takesFiles: false))
        }
        for command in spec.commands {
            let choices = command.arguments.first.map { Self.choices(of: $0.info) } ?? []
            let place = Place(
                path: command.path, words: choices.map { ($0, "") }, options: command.allOptions.map(\.info),
                takesFiles: command.arguments.contains { $0.info.shape == .file })
            // A command can have the name of a family.
            if let index = places.firstIndex(where: { $0.path == command.path }) {
                places[index].options = place.options
                places[index].takesFiles = place.takesFiles
            } else {
                places.append(place)
            }
        }
        self.places = places
    }

    private static func words(behind path: [String], of spec: ProgramSpec) -> [(String, String)] {
        var words: [(String, String)] = []
        for command in spec.commands where command.path.count > path.count && command.path.starts(with: path) {
            let word = command.path[path.count]
            if words.contains(where: { $0.0 == word }) { continue }
            let isCommand = command.path.count == path.count + 1
            words.append((word, isCommand ? command.summary : "…"))
        }
        return words + (path.isEmpty ? [("help", "Shows help.")] : [])
    }

    /// The words that a value can be; empty where it can be any.
    static func choices(of info: ParameterInfo) -> [String] {
        switch info.shape {
        case .choice(let words): words
        case .noneOr(.choice(let words)): words + ["none"]
        case .noneOr: ["none"]
        case .text, .wholeNumber, .duration, .time, .file, nil: []
        }
    }

    private func quoted(_ text: String) -> String { "'" + text.replacing("'", with: #"'\''"#) + "'" }

    private var paths: [String] { places.dropFirst().map(\.name) }

    /// An option that takes a value, at a place.
    private struct Value {
        /// `path:--option`
        var key: String
        var words: [String]
        var isFile: Bool
    }

    private var values: [Value] {
        places.flatMap { place in
            place.options.filter { $0.valueName != nil }.map { info in
                Value(
                    key: "\(place.name):\(info.label)", words: Self.choices(of: info), isFile: info.shape == .file)
            }
        }
    }

    private func lines<Element>(_ elements: [Element], _ line: (Element) -> String) -> String {
        elements.map(line).joined(separator: "\n")
    }

    // MARK: bash

    func bash() -> String {
        """
        # Completions of \(program) for bash: source it, or put it into bash-completion/completions/\(program).
        _\(program)() {
            local command= word words= files= index=$((COMP_CWORD - 1))
            local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
            # --option=value is three words.
            [ "$current" = = ] && current= && previous='=' && index=$COMP_CWORD
            [ "$previous" = = ] && previous=${COMP_WORDS[index - 1]}
            for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
                case "${command:+$command }$word" in
                \(paths.map(quoted).joined(separator: " | "))) command=${command:+$command }$word ;;
                esac
            done
            case $command:$previous in
        \(lines(values, bashValue))
            *)
                case $command in
        \(lines(places, bashPlace))
                esac
                ;;
            esac
            mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current"; [ -z "$files" ] || compgen -f -- "$current")
            [ -z "$files" ] || compopt -o filenames 2>/dev/null
        }
        complete -F _\(program) \(program)

        """
    }

    private func bashValue(_ value: Value) -> String {
        let action =
            value.isFile
            ? "files=1" : value.words.isEmpty ? "return" : "words=\(quoted(value.words.joined(separator: " ")))"
        return "    \(quoted(value.key))) \(action) ;;"
    }

    private func bashPlace(_ place: Place) -> String {
        let words = (place.words.map(\.word) + place.options.map(\.label)).joined(separator: " ")
        return "        \(quoted(place.name))) words=\(quoted(words))\(place.takesFiles ? " files=1" : "") ;;"
    }

    // MARK: zsh

    func zsh() -> String {
        """
        #compdef \(program)
        # Completions of \(program) for zsh: put it as _\(program) into a folder of $fpath.
        _\(program)() {
            local command= word
            local -a list options
            for word in "${(@)words[2,CURRENT-1]}"; do
                case "${command:+$command }$word" in
                \(paths.map(quoted).joined(separator: " | "))) command="${command:+$command }$word" ;;
                esac
            done
            case "$command:${words[CURRENT-1]}" in
        \(lines(values, zshValue))
            esac
            case $command in
        \(lines(places, zshPlace))
            esac
            (( $#list )) && _describe command list
            _describe -o option options
        }
        _\(program) "$@"

        """
    }

    private func zshValue(_ value: Value) -> String {
        let words = value.words.map(quoted).joined(separator: " ")
        let action = value.isFile ? "_files" : words.isEmpty ? "_message value" : "compadd -- \(words)"
        return "    \(quoted(value.key))) \(action); return ;;"
    }

    private func zshPlace(_ place: Place) -> String {
        func list(_ words: [(word: String, help: String)]) -> String {
            words.map { quoted($0.word.replacing(":", with: #"\:"#) + ($0.help.isEmpty ? "" : ":" + $0.help)) }
                .joined(separator: " ")
        }
        return """
                \(quoted(place.name)))
                    list=(\(list(place.words)))
                    options=(\(list(place.options.map { ($0.label, $0.help) })))
                    \(place.takesFiles ? "_files " : "");;
            """
    }

    // MARK: fish

    func fish() -> String {
        """
        # Completions of \(program) for fish: put it into vendor_completions.d/\(program).fish.
        function __\(program)_command
            set -l command \(program)
            for word in (commandline -opc)[2..-1]
                switch "$command $word"
                    case \(paths.map { quoted("\(program) \($0)") }.joined(separator: " "))
                        set command "$command $word"
                end
            end
            echo $command
        end
        complete -c \(program) -f
        \(lines(places, fishPlace))

        """
    }

    private func fishPlace(_ place: Place) -> String {
        let condition = "test (__\(program)_command) = '\(([program] + place.path).joined(separator: " "))'"
        let start = "complete -c \(program) -n \(quoted(condition))"
        let words = place.words.map { word, help in
            "\(start) -a \(quoted(word))" + (help.isEmpty ? "" : " -d \(quoted(help))")
        }
        let options = place.options.map { info in
            "\(start) -l \(info.name)\(fishValue(info)) -d \(quoted(info.help))"
        }
        return (words + (place.takesFiles ? ["\(start) -F"] : []) + options).joined(separator: "\n")
    }

    private func fishValue(_ info: ParameterInfo) -> String {
        let words = Self.choices(of: info)
        if info.valueName == nil { return "" }
        if info.shape == .file { return " -r -F" }
        return words.isEmpty ? " -x" : " -x -a \(quoted(words.joined(separator: " ")))"
    }
}
