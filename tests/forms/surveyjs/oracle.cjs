// Reads a question on each line of its input and answers it on a line of its output, as survey-core decides it:
// {condition, answers} gives true, false, or null where the condition cannot be read;
// {form, answers} gives the names of the visible questions.
const survey = require(process.argv[2] + "/node_modules/survey-core");
const lines = require("node:readline").createInterface({ input: process.stdin });

function holds(condition, answers) {
  return new survey.ConditionsParser().parseExpression(condition)
    ? new survey.ConditionRunner(condition).runValues(answers)
    : null;
}

// Answers what is visible from the first question to the last, as a person would.
function visible(form, answers) {
  const model = new survey.Model(form);
  for (const question of model.getAllQuestions()) {
    if (question.isVisible && question.name in answers) {
      question.value = answers[question.name];
    }
  }
  return model.getAllQuestions().filter((question) => question.isVisible).map((question) => question.name);
}

lines.on("line", (line) => {
  const asked = JSON.parse(line);
  const answer = asked.form ? visible(asked.form, asked.answers) : holds(asked.condition, asked.answers);
  process.stdout.write(JSON.stringify(answer) + "\n");
});
