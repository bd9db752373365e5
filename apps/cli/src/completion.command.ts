import { Argument } from 'commander';
import type { Define } from './command.js';

/** They hand the words over as they are and evaluate nothing; where helio has nothing to offer, files are. */
const SCRIPTS = {
  // bash takes words apart at : and =, and puts what it is given behind the last of them
  bash: `_helio() {
  local word previous= words=() last=0
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD}"; do
    if [[ \${#words[@]} -gt 0 && ( $word == [:=] || $previous == [:=] ) ]]; then words[last]+=$word
    else last=\${#words[@]}; words[last]=$word; fi
    previous=$word
  done
  [[ $word == [:=] ]] && word=
  local before=\${words[last]%"$word"} rest
  COMPREPLY=()
  while IFS=$'\\t' read -r word rest; do
    COMPREPLY+=("\${word#"$before"}")
  done < <(helio complete -- "\${words[@]}" 2>/dev/null)
}
complete -o default -F _helio helio
`,
  zsh: `#compdef helio
_helio() {
  local line word
  local -a found
  for line in "\${(@f)$(helio complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    word=\${line%%$'\\t'*}
    [[ -n $word ]] && found+=("\${word//:/\\\\:}:\${line#*$'\\t'}")
  done
  if (( $#found )); then _describe helio found; else _files; fi
}
compdef _helio helio
`,
  fish: `function __helio_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l found (helio complete -- $words[2..-1] 2>/dev/null)
  if set -q found[1]
    printf '%s\\n' $found
  else
    __fish_complete_path (commandline -ct)
  end
end
complete -c helio -f -a '(__helio_complete)'
`,
} as const;

export const define: Define = (command, cli) => {
  command
    .description(
      'Prints a script that completes commands, options and their values. bash: source <(helio completion bash), in ~/.bashrc; zsh: the same, in ~/.zshrc after compinit; fish: helio completion fish > ~/.config/fish/completions/helio.fish',
    )
    .addArgument(new Argument('<shell>', 'which shell').choices(Object.keys(SCRIPTS)))
    .action((shell: keyof typeof SCRIPTS) => cli.write(SCRIPTS[shell]));
};
