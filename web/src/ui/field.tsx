/** Form controls with a label, a hint, and the label's id wired to the control. */
import { type ComponentProps, type ReactNode, useId } from 'react'

interface FieldProps {
  label: string
  hint?: ReactNode
  children: (props: { id: string; 'aria-describedby': string | undefined }) => ReactNode
  className?: string
}

function Field({ label, hint, children, className = '' }: FieldProps) {
  const id = useId()
  const hintId = hint ? `${id}-hint` : undefined
  return (
    <div className={`flex min-w-0 flex-col gap-1 ${className}`}>
      <label htmlFor={id} className="text-sm font-medium text-ink-2">
        {label}
      </label>
      {children({ id, 'aria-describedby': hintId })}
      {hint && (
        <p id={hintId} className="text-xs text-ink-3">
          {hint}
        </p>
      )}
    </div>
  )
}

type Labelled = { label: string; hint?: ReactNode; fieldClass?: string }

export function TextField({ label, hint, fieldClass, ...rest }: Labelled & ComponentProps<'input'>) {
  return (
    <Field label={label} hint={hint} className={fieldClass}>
      {(wiring) => <input className="control" autoComplete="off" spellCheck={false} {...wiring} {...rest} />}
    </Field>
  )
}

/** A number that may be left empty; empty means the server's default. */
export function NumberField({
  label,
  hint,
  fieldClass,
  value,
  onValue,
  ...rest
}: Labelled & Omit<ComponentProps<'input'>, 'value'> & { value: number | null; onValue: (value: number | null) => void }) {
  return (
    <Field label={label} hint={hint} className={fieldClass}>
      {(wiring) => (
        <input
          className="control num"
          type="number"
          step="any"
          value={value ?? ''}
          onChange={(event) => onValue(event.target.value === '' ? null : event.target.valueAsNumber)}
          {...wiring}
          {...rest}
        />
      )}
    </Field>
  )
}

export function TextAreaField({ label, hint, fieldClass, ...rest }: Labelled & ComponentProps<'textarea'>) {
  return (
    <Field label={label} hint={hint} className={fieldClass}>
      {(wiring) => <textarea className="control" {...wiring} {...rest} />}
    </Field>
  )
}

export type Choice = { value: string; label: string }

export function SelectField({ label, hint, fieldClass, choices, ...rest }: Labelled & ComponentProps<'select'> & { choices: Choice[] }) {
  return (
    <Field label={label} hint={hint} className={fieldClass}>
      {(wiring) => (
        <select className="control" {...wiring} {...rest}>
          {choices.map((choice) => (
            <option key={choice.value} value={choice.value}>
              {choice.label}
            </option>
          ))}
        </select>
      )}
    </Field>
  )
}

export function CheckField({ label, hint, ...rest }: { label: ReactNode; hint?: string } & ComponentProps<'input'>) {
  const id = useId()
  return (
    <div className="flex items-start gap-2 text-sm">
      <input id={id} type="checkbox" className="mt-0.5 size-4 shrink-0" {...rest} />
      <label htmlFor={id}>
        {label}
        {hint && <span className="block text-xs text-ink-3">{hint}</span>}
      </label>
    </div>
  )
}
