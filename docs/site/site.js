// What mdBook does not do for a book in two languages. Stands in the head of each page (head.hbs).
(() => {
  // Screen readers and hyphenation go by this attribute; mdBook has one for the whole book.
  if (/\/ru\//.test(location.pathname)) document.documentElement.lang = 'ru';

  // Wide tables scroll by keyboard, too.
  document.addEventListener('DOMContentLoaded', () => {
    for (const table of document.querySelectorAll('.table-wrapper')) {
      if (table.scrollWidth > table.clientWidth) table.tabIndex = 0;
    }
  });

  // The search drops what is no Latin letter, when the index is made and when a word is looked for. So Russian words are put in
  // when the index comes, by their beginning: endings tell cases apart, not subjects.
  const ENDING =
    /(?:иями|ями|ами|ого|его|ому|ему|ыми|ими|иях|ях|ах|ией|ует|ают|яют|ить|ать|ять|еть|ся|[ыи]х|[ыои]й|[аяеюоу]я|[уюо]ю|[ое]е|[ое]м|[ое]в|[ое]й|[иы]е|ам|ям|ия|ии|ию|ие|[аеиоуыюяйь])$/;

  const learnRussian = (search) => {
    const english = search.stemmer;
    const functions = search.Pipeline.registeredFunctions;
    const learn = (label, learned) => (functions[label] = Object.assign(learned, { label }));
    learn('trimmer', (word) => word.replace(/^[^\p{L}\p{N}_]+|[^\p{L}\p{N}_]+$/gu, ''));
    search.stemmer = learn('stemmer', (word) =>
      /[а-яё]/.test(word) ? word.replace(ENDING, (ending, at) => (at >= 3 ? '' : ending)) : english(word),
    );
    const load = search.Index.load;
    search.Index.load = (kept) => {
      const index = load.call(search.Index, kept);
      for (const page of Object.values(kept.documentStore.docs))
        if (/[а-яё]/i.test(page.body + page.title)) index.addDoc(page, false);
      return index;
    };
  };

  // The moment it is there, which is before anything uses it.
  let there;
  Object.defineProperty(window, 'elasticlunr', {
    configurable: true,
    get: () => there,
    set: (search) => {
      there = search;
      learnRussian(search);
    },
  });
})();
